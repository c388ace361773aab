"""The braindelta command and its Nipype workflows."""
