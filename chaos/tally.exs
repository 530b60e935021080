defmodule Chaos.Tally do
  # How much was done, to see that it was enough.

  @kinds [
    :list_inserts_aimed_at,
    :writes,
    :writes_unanswered,
    :reads,
    :transactions,
    :transactions_aborted,
    :transactions_given_up,
    :transactions_killed,
    :audits,
    :inspections
  ]

  def open, do: :persistent_term.put(__MODULE__, :counters.new(length(@kinds), []))

  for {kind, index} <- Enum.with_index(@kinds, 1) do
    def add(unquote(kind)), do: :counters.add(:persistent_term.get(__MODULE__), unquote(index), 1)
  end

  def all do
    for {kind, index} <- Enum.with_index(@kinds, 1),
        do: {kind, :counters.get(:persistent_term.get(__MODULE__), index)}
  end
end
