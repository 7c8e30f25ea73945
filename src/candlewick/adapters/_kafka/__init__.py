"""What every adapter on Kafka shares: settings of clients, names, questions to the brokers, errors."""
