"""Solvers of ordinary differential equations y'(t) = f(t, y), y(t_0) = y_0.

A Runge-Kutta method is *data*, a `Tableau`; two loops use it, one with fixed and one
with adaptive steps, and `odeint` chooses between them::

    t = torch.linspace(0, 1, 11)
    y = odeint(f, y0, t)                                            # adaptive dopri5
    y = odeint(f, y0, t, method="rk4", options={"n_steps": 4})      # fixed steps

The field `f(t, y)` gets the time as a Python float: it is exact in double precision
whatever the dtype of the state, and costs nothing. A field that mixes time with the
state can write ``t * torch.ones_like(y)``. One that is written for tensors,
``torch.sin(t)`` or ``t.expand(n, 1)``, gets a tensor without axes.

Equation numbers refer to Hairer, Norsett and Wanner, *Solving Ordinary Differential
Equations I*, second edition ("HNW").
"""

from odenets.solvers.fields import Field, Overwritten, State
from odenets.solvers.odeint import (
    Settings,
    SolverError,
    Stats,
    adaptive_solve,
    checked_times,
    odeint,
    solve,
)
from odenets.solvers.steps import (
    count_nfe,
    embedded_step,
    euler_step,
    leapfrog_step,
    observed_order,
    runge_kutta_step,
    symplectic_euler_step,
    symplectic_euler_step_back,
)
from odenets.solvers.tableaus import TABLEAUS, Tableau

__all__ = [
    "TABLEAUS",
    "Field",
    "Overwritten",
    "Settings",
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
    "symplectic_euler_step",
    "symplectic_euler_step_back",
]
