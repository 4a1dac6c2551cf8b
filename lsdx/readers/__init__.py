"""What each file is: bytes on disk to frozen, checked records."""
