"""The simulated challenge: kidneys cut by coronal slabs, their surroundings, the scanner and the annotator."""
