"""Work and machines to try a scheduler with: seeded generators, an importer, a time line.

Everything ends in two lists, arrivals (`arrivals`) of plain job documents and instance groups of a
fleet, each with a JSON-lines file form.
"""
