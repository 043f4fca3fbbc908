"""From files to masks, areas and a page: one image after the other, or shared out over a cluster."""
