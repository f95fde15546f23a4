"""Zoos: labelled organisms and clean controls, laid out from a spec and built"""
