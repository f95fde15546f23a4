"""Studies: designed experiments over the lab's factors, planned, run and judged"""
