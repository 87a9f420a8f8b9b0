"""What experiments start: each module is a program of the rig, with the other ones beside it."""
