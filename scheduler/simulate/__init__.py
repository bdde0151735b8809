"""Play traces of real traffic over pools of providers that never were, through the decisions that the gateway makes.

Engines follow published timing coefficients (`coefficients`); nothing in here was measured on a GPU.
"""
