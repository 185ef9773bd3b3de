"""The graphs that ``langgraph.json`` names, over the services of this process. Importing it opens the deployment."""

from personaagent.graph.agent import build_agent
from personaagent.graph.alignment import build_alignment
from personaagent.graph.compiled import served
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import default_services

agent = served(build_agent(default_services()), "agent")
feedback = served(build_feedback(default_services()), "feedback")
alignment = served(build_alignment(default_services()), "alignment")
