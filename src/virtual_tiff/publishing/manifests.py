"""How the manifests of a repository are cut, and settings under which a commit is fast."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import icechunk

from virtual_tiff.publishing.parts import Part
from virtual_tiff.publishing.sources_table import DIMENSION, GROUP

type Repository = icechunk.Repository

#: References in one manifest; a reader fetches whole manifests, an append rewrites the last.
MANIFEST_REFERENCES = 50_000
#: Chunks of a column of the table of sources in one manifest.
_TABLE_CHUNKS = 16
#: Manifests that a commit writes concurrently. Every array has one, and by default Icechunk writes
#: them one after the other: for 100 COGs at 30 ms latency 29 s instead of 1.2 s.
_MANIFESTS_AT_ONCE = 64
#: Largest chunk in a manifest in bytes (Icechunk's maximum). As separate objects, coordinates and
#: last strips would cost a PUT and a GET each.
_LARGEST_INLINE = 65_535


def with_splitting(repository: Repository, parts: Sequence[Part]) -> Repository:
    """Save how manifests are cut along the dimensions that grow.

    So opening a cube does not grow with its history. A repository with such a rule keeps it.
    """
    chunks: Counter[str] = Counter()
    for part in parts:
        chunks |= Counter(part.grows)
    config = repository.config
    manifest = config.manifest or icechunk.ManifestConfig()
    if not chunks or manifest.splitting is not None:
        return repository
    manifest.splitting = _splitting(
        {
            icechunk.ManifestSplitCondition.AnyArray(): {
                name: max(1, MANIFEST_REFERENCES // count) for name, count in chunks.items()
            }
        }
    )
    config.manifest = manifest
    repository = repository.reopen(config=config)
    repository.save_config()
    return repository


def _splitting(rules: Mapping[Any, Mapping[str, int]]) -> icechunk.ManifestSplittingConfig:
    """Cut manifests after so many chunks along dimensions, by condition on the array."""
    named = icechunk.ManifestSplitDimCondition.DimensionName
    return icechunk.ManifestSplittingConfig.from_dict(
        {
            condition: {named(f"^{re.escape(name)}$"): size for name, size in sizes.items()}
            for condition, sizes in rules.items()
        }
    )


def for_writing(repository: Repository, parts: Sequence[Part]) -> Repository:
    """Open a repository with settings for this commit, which are not saved."""
    config = repository.config
    manifest = config.manifest or icechunk.ManifestConfig()
    manifest.max_concurrent_manifest_fetches_during_commit = _MANIFESTS_AT_ONCE
    table = _splitting(
        {icechunk.ManifestSplitCondition.path_matches(f"^/{GROUP}/"): {DIMENSION: _TABLE_CHUNKS}}
    )
    saved = {} if manifest.splitting is None else manifest.splitting.to_dict()
    manifest.splitting = icechunk.ManifestSplittingConfig.from_dict(table.to_dict() | saved)
    config.manifest = manifest
    if all(part.is_small for part in parts):
        config.inline_chunk_threshold_bytes = _LARGEST_INLINE
    return repository.reopen(config=config)
