"""What ``check_device.py`` is made of: the wheel, the boards, the oldest Python."""
