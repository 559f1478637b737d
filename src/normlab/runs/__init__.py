"""One training's life: build, train, checkpoint, cost, progress, and read it back when it is finished."""
