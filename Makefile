# Every task first makes the environment it needs, on a machine that has only Python 3 and make.
# pixi.toml has the same tasks for users of pixi.

BIN := .venv/bin/

.DEFAULT_GOAL := help
.PHONY: help env demo map test test-javascript test-map test-azure test-ome-zarr test-recipes test-torch test-latest test-lowest lint format \
	bench bench-quick bench-docs docs download-test-images fuzz constraints clean

help: ## list the tasks
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

env: ## make .venv with the package and its tools; quick when nothing changed
	@scripts/bootstrap.sh

demo: env ## publish the examples and read them back without this package
	$(BIN)python scripts/demo.py

test: env ## run the tests
	$(BIN)python -m pytest -n auto

test-javascript: env ## test clients/javascript, read with zarrita.js (needs Node 20, npm and Chromium)
	npm --prefix clients/javascript install --no-package-lock --no-audit --no-fund
	npm --prefix clients/javascript test
	npm --prefix tests/javascript install --no-package-lock --no-audit --no-fund
	npm --prefix tests/javascript test

map: env ## make and serve the map of examples/map (needs Node 20 and npm)
	$(BIN)python examples/map/make.py

test-map: env ## test the map in Chromium against GDAL's warp (needs Node 20, npm and Chromium)
	$(BIN)python -m pytest tests/map/check_map.py

test-azure: env ## publish to and read from an emulator of Azure Blob Storage (needs Node 20 and npm)
	npm --prefix tests/azure install --no-package-lock --no-audit --no-fund
	$(BIN)python -m pytest tests/azure/check_azurite.py

test-ome-zarr: env ## open series of pages with validators and readers of OME-Zarr
	$(BIN)python -m venv .venv-ome-zarr
	.venv-ome-zarr/bin/python -m pip install --quiet --disable-pip-version-check \
	  imagecodecs-zarr==2026.10.10 napari-ome-zarr==0.11.0 ngff-zarr==0.50.0 ome-zarr==0.21.0 \
	  ome-zarr-models==1.8.1 yaozarrs==0.3.4 zarr==3.4.2
	rm -rf build/ome-zarr
	$(BIN)python -m tests.ome_zarr.write build/ome-zarr
	.venv-ome-zarr/bin/python tests/ome_zarr/check.py build/ome-zarr

test-recipes: env ## run the recipes for readers, and serve tiles, in .venv-recipes
	$(BIN)python -m venv .venv-recipes
	.venv-recipes/bin/python -m pip install --quiet --disable-pip-version-check \
	  duckdb==2.0.0 geopandas==1.2.0 icechunk==2.3.0 imagecodecs-zarr==2026.10.10 polars==2.1.0 pyarrow==26.0.1 \
	  rasterio==1.5.2 titiler-xarray==2.4.0 uvicorn==0.54.0 xbatcher==0.4.0 zarr==3.4.2
	rm -rf build/recipes
	mkdir -p build/recipes
	cp -r examples build/recipes
	cd build/recipes && ../../$(BIN)virtual-tiff stack examples/reflectance_*.tif --to cube --quiet \
	  --datetime-pattern '_(\d{8})_' --variable-pattern '_(red|nir)'
	ICECHUNK_LOG=error .venv-recipes/bin/python tests/recipes/read.py build/recipes
	.venv-recipes/bin/python tests/recipes/serve.py build/recipes

test-torch: env ## run the recipes for PyTorch and TorchGeo (6 GB; not part of .ci/run)
	$(BIN)python -m venv .venv-torch
	.venv-torch/bin/python -m pip install --quiet --disable-pip-version-check \
	  icechunk==2.3.0 imagecodecs-zarr==2026.10.10 'torch>=2.13' torchgeo==0.10.1 xarray==2026.9.0 zarr==3.4.2
	rm -rf build/torch
	mkdir -p build/torch
	cp -r examples build/torch
	cd build/torch && ../../$(BIN)virtual-tiff stack examples/reflectance_*.tif --to cube --quiet \
	  --datetime-pattern '_(\d{8})_' --variable-pattern '_(red|nir)'
	ICECHUNK_LOG=error .venv-torch/bin/python tests/recipes/train.py build/torch

test-latest: ## run the tests with the newest releases of everything
	@scripts/bootstrap.sh latest
	.venv-latest/bin/python -m pytest -n auto

test-lowest: ## run the tests with the oldest releases that pyproject.toml allows
	@scripts/bootstrap.sh lowest
	.venv-lowest/bin/python -m pytest -n auto

lint: env ## style, types and import contracts
	$(BIN)ruff check
	$(BIN)ruff format --check
	$(BIN)mypy
	$(BIN)lint-imports

format: env ## format the code
	$(BIN)ruff check --fix
	$(BIN)ruff format

bench: env ## run the benchmarks: ratios against other readers
	$(BIN)python -m benchmarks

bench-quick: env ## run a shorter version of the benchmarks, in two minutes
	$(BIN)python -m benchmarks --quick

bench-docs: env ## write the results of make bench into the documentation
	$(BIN)python -m benchmarks.page build/bench/results.json

docs: env ## build the documentation into site/
	$(BIN)mkdocs build --strict

download-test-images: env ## download TIFFs of other projects into .cache/test-images
	$(BIN)python scripts/sync_gdal_tiffs.py
	$(BIN)python scripts/sync_geotiff_test_data.py
	$(BIN)python scripts/sync_external_tiffs.py

fuzz: env ## parse mutated headers; expect a correct parse or one of our errors
	$(BIN)python scripts/fuzz.py

constraints: ## pin the newest releases in constraints.txt
	@scripts/bootstrap.sh constraints

clean: ## remove everything the tasks made, environments included
	rm -rf .venv .venv-recipes .venv-torch .venv-latest .venv-lowest .uv .pixi build dist site examples/*/node_modules tests/*/node_modules clients/*/node_modules clients/*/wasm clients/*/licenses
