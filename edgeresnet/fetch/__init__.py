"""``edgeresnet fetch``: official weights from their publisher, digests checked."""
