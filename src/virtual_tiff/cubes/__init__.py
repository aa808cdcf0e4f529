"""Arrays over many images of an inventory: places, agreement, levels. No I/O."""
