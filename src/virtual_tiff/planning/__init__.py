"""What the directories of a TIFF become: arrays and groups as frozen data. No I/O."""
