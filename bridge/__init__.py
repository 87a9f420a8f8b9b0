"""Where the two messaging styles meet: the messages, their wire format and the rank-0 publisher."""
