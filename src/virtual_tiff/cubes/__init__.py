"""Plan cubes, arrays over many images of an inventory: positions, agreement, levels. No I/O."""
