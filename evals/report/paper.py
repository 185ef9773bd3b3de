"""What the paper reports (arXiv 2506.06254; LaMP, 100 users a task, Claude 3.5 Sonnet), to stand beside our figures."""

from __future__ import annotations

_TABLE: dict[str, dict[str, dict[str, float]]] = {
    "1": {
        "membank": {"accuracy": 0.862, "F1": 0.861},
        "persona_agent": {"accuracy": 0.919, "F1": 0.918},
        "persona_agent:alignment=off": {"accuracy": 0.894, "F1": 0.893},
        "persona_agent:persona=off": {"accuracy": 0.846, "F1": 0.855},
        "persona_agent:memory=off": {"accuracy": 0.821, "F1": 0.841},
        "persona_agent:action=off": {"accuracy": 0.764, "F1": 0.789},
    },
    "2M": {
        "no_personalization": {"accuracy": 0.387, "F1": 0.302},
        "react": {"accuracy": 0.450, "F1": 0.378},
        "membank": {"accuracy": 0.470, "F1": 0.391},
        "persona_agent": {"accuracy": 0.513, "F1": 0.424},
        "persona_agent:alignment=off": {"accuracy": 0.487, "F1": 0.403},
        "persona_agent:persona=off": {"accuracy": 0.463, "F1": 0.361},
        "persona_agent:memory=off": {"accuracy": 0.460, "F1": 0.365},
        "persona_agent:action=off": {"accuracy": 0.403, "F1": 0.329},
    },
    "2N": {
        "no_personalization": {"accuracy": 0.660, "F1": 0.386},
        "pag": {"accuracy": 0.768, "F1": 0.509},
        "react": {"accuracy": 0.639, "F1": 0.381},
        "membank": {"accuracy": 0.741, "F1": 0.456},
        "persona_agent": {"accuracy": 0.796, "F1": 0.532},
        "persona_agent:alignment=off": {"accuracy": 0.775, "F1": 0.502},
        "persona_agent:persona=off": {"accuracy": 0.769, "F1": 0.483},
        "persona_agent:memory=off": {"accuracy": 0.646, "F1": 0.388},
        "persona_agent:action=off": {"accuracy": 0.626, "F1": 0.375},
    },
    "3": {
        "no_personalization": {"MAE": 0.295, "RMSE": 0.590},
        "icl": {"MAE": 0.277, "RMSE": 0.543},
        "react": {"MAE": 0.313, "RMSE": 0.590},
        "membank": {"MAE": 0.321, "RMSE": 0.582},
        "persona_agent": {"MAE": 0.241, "RMSE": 0.509},
        "persona_agent:alignment=off": {"MAE": 0.259, "RMSE": 0.560},
        "persona_agent:persona=off": {"MAE": 0.277, "RMSE": 0.542},
        "persona_agent:memory=off": {"MAE": 0.348, "RMSE": 0.661},
        "persona_agent:action=off": {"MAE": 0.375, "RMSE": 0.756},
    },
}


def reported(column: str | None, system: str, score: str) -> float | None:
    """The paper's figure of a system, where the task is one of its columns and the figure is known."""
    return _TABLE.get(column or "", {}).get(system, {}).get(score)
