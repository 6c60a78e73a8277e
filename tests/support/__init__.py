"""What several tests share: cases, networks, ways to run them."""
