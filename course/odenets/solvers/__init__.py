"""Solvers of ordinary differential equations y'(t) = f(t, y), y(t_0) = y_0.

A Runge-Kutta method is *data*, a `Tableau`; two loops use it, one with fixed and one
with adaptive steps, and `odeint` chooses between them::

    t = torch.linspace(0, 1, 11)
    y = odeint(f, y0, t)                                            # adaptive dopri5
    y = odeint(f, y0, t, method="rk4", options={"n_steps": 4})      # fixed steps

The field `f(t, y)` always gets the time as a Python float: it is exact in double
precision whatever the dtype of the state, and costs nothing. A field that mixes time
with the state can write ``t * torch.ones_like(y)``.

Equation numbers refer to Hairer, Norsett and Wanner, *Solving Ordinary Differential
Equations I*, second edition ("HNW").
"""

from odenets.solvers.odeint import (
    SolverError,
    Stats,
    adaptive_solve,
    checked_times,
    odeint,
    solve,
)
from odenets.solvers.steps import (
    Field,
    State,
    count_nfe,
    embedded_step,
    euler_step,
    leapfrog_step,
    observed_order,
    runge_kutta_step,
    verlet_step,
    verlet_step_back,
)
from odenets.solvers.tableaus import TABLEAUS, Tableau

__all__ = [
    "TABLEAUS",
    "Field",
    "SolverError",
    "State",
    "Stats",
    "Tableau",
    "adaptive_solve",
    "checked_times",
    "count_nfe",
    "embedded_step",
    "euler_step",
    "leapfrog_step",
    "observed_order",
    "odeint",
    "runge_kutta_step",
    "solve",
    "verlet_step",
    "verlet_step_back",
]
