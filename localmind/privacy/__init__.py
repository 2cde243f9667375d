"""What is held on people and tenants: handed out, erased, and let go of in time."""
