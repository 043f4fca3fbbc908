"""What a slice is: readers that return HU and the pixel grid, the window, the limits, the files of a folder."""
