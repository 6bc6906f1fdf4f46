"""The fixture mesh: one generator of small charts, CRDs and images in the shape of osm-edge.

``releases.yaml`` says what differs between the releases, ``base/`` holds what they share, and

    releases  reads the table            crds       builds a release's CRDs
    build     writes and packages        images     pushes the images that carry them
    publish   does all of it             workloads  gives custom resources and meshed workloads
"""
