"""What work is done again?"""
