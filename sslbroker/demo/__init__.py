"""The embedded fulfillment servers of the demo, and the shop they serve."""
