"""What a run of the lab can be asked for, apart."""

PARTS = ("exchanges", "experiments", "ways")
