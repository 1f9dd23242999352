"""Pinocchio: profiles for chat applications, kept, checked and served."""
