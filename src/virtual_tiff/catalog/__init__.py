"""Known archives of TIFFs, as data: where they are, what they hold, how they become cubes."""
