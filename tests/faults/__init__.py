"""Real workers, brokers and databases, killed and stopped while usage flows; figures at the end."""
