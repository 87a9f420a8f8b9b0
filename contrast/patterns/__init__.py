"""The same exchange in both styles, timed: from one byte to 64 MiB, between two to eight participants."""
