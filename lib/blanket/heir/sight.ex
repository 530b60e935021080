defmodule Blanket.Heir.Sight do
  @moduledoc false

  # What an heir has seen last of its table's ownership. When it sees something else, it tells what
  # must have happened.

  alias Blanket.Events

  @type state :: pid | :orphan | :gone

  @doc """
  Tells of what came between `before` and `now`.

  `exit` is the pid and the reason of the last owner whose exit the heir was told, `offered` the last
  process to which it offered the table. `before` is `nil` when there is nothing to compare with.
  """
  @spec tell(
          kept :: map,
          before :: state | nil,
          now :: state,
          exit :: {pid, term} | nil,
          pid | nil
        ) ::
          :ok
  def tell(_kept, same, same, _exit, _offered), do: :ok
  def tell(_kept, nil, now, _exit, _offered) when now != :gone, do: :ok

  def tell(kept, _before, :gone, exit, _offered) do
    # Otherwise it is kept no longer, and its owner has told so.
    if Blanket.Table.info(kept.table) == :undefined do
      {from, reason} = exit || {nil, nil}
      Events.deleted(kept, from, reason)
    end

    :ok
  end

  def tell(kept, from, :orphan, {from, reason}, _offered), do: Events.orphaned(kept, from, reason)
  def tell(kept, from, :orphan, _exit, _offered), do: Events.orphaned(kept, from, nil)

  def tell(kept, :orphan, to, exit, offered) do
    {from, reason} = exit || {nil, nil}
    handed_over(kept, from, reason, to, offered)
  end

  # The next owner was there before the heir saw the orphan.
  def tell(kept, from, to, {from, reason}, offered) do
    Events.orphaned(kept, from, reason)
    handed_over(kept, from, reason, to, offered)
  end

  def tell(kept, from, to, _exit, _offered),
    do: Events.handed_over(kept, %{from: from, to: to, reason: nil, via: :give_away})

  defp handed_over(kept, from, reason, to, offered) do
    via = if to == offered, do: :receive_table, else: :claim
    Events.handed_over(kept, %{from: from, to: to, reason: reason, via: via})
  end
end
