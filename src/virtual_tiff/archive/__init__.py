"""Archives: many TIFFs as a table on the way in, and as a versioned cube on the way out.

`scanning` reads headers into an `inventory`; `stack` plans cubes of it, `cubes` publishes and
appends them; `verifying` and `history` look after what was published; `stac` describes it.
"""
