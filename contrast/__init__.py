"""The contrast lab: the same exchanges in both styles of messaging, measured on one machine in one run."""
