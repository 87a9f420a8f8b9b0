"""What the phase timers of all ranks say together: totals, who waited for whom, a picture, a trace."""
