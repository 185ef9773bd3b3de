"""The server: who is asking, and the page where users see and steer what the agent knows about them."""
