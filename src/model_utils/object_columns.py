# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Columns of the object table, all that the rooms `data` and `models` share.

A row is an object on the output grid, float32: integer centre x and y, sub-pixel offset x and y,
width, height, radius of its Gaussian, class. A padding row has class -1.
"""

ROW_LENGTH = 8
CENTRE_X, CENTRE_Y, OFFSET_X, OFFSET_Y, WIDTH, HEIGHT, RADIUS, CLASS = range(ROW_LENGTH)
