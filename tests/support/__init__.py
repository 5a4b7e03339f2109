"""What tests share: small models, small disks, photographs, the command."""
