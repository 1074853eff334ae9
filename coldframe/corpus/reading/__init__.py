"""What people's files hold, read as documents: formats, compression and archives, and what their fields mean."""
