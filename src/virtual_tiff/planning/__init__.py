"""Plan arrays and groups from the directories of a TIFF, as frozen data. No I/O."""
