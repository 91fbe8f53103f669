"""Finds our faults before users do: random problems, and checks held against exact gradients.

Programs of some 70 operations are composed at random (`programs`), under drawn conditions
(`conditions`), handed over in every call shape (`shapes`), half of them with a fault in the reverse
pass (`faults`). Exact gradients tell what a check should have said (`labels`, `running`).
"""
