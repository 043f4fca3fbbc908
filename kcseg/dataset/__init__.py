"""From files to training batches: challenge folders and their check, COCO persons, augmentation."""
