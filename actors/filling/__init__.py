"""The actors that fill gaps and prove what is stored, within the weight that the exchange allows."""
