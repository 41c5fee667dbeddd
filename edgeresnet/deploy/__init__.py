"""``edgeresnet deploy``: convert, quantize and compile in one."""
