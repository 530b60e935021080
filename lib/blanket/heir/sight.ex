defmodule Blanket.Heir.Sight do
  @moduledoc false

  # What an heir has seen last of its table's ownership. When it sees something else, it tells what
  # must have happened.

  alias Blanket.Events

  @type state :: pid | :orphan | :gone

  @doc """
  Tells of what came between `before` and `now`.

  `exit` is the pid and the reason of the last owner whose exit the heir was told, `offered` the last
  process to which it offered the table, `info` what the table was like when it got its owner, if that is known.
  `before` is `nil` when there is nothing to compare with.
  """
  @spec tell(
          kept :: map,
          before :: state | nil,
          now :: state,
          exit :: {pid, term} | nil,
          offered :: pid | nil,
          info :: map | nil
        ) ::
          :ok
  def tell(_kept, same, same, _exit, _offered, _info), do: :ok
  def tell(_kept, nil, now, _exit, _offered, _info) when now != :gone, do: :ok

  def tell(kept, before, :gone, exit, _offered, _info) do
    # Otherwise it is kept no longer, and its owner has told so.
    if Blanket.Table.info(kept.table) == :undefined do
      {from, reason} = last_owner(before, exit)
      Events.deleted(kept, from, reason)
    end

    :ok
  end

  def tell(kept, from, :orphan, exit, _offered, _info) do
    {^from, reason} = last_owner(from, exit)
    Events.orphaned(kept, from, reason)
  end

  def tell(kept, :orphan, to, exit, offered, info),
    do: handed_over(kept, last_owner(:orphan, exit), to, offered, info)

  # The next owner was there before the heir saw the orphan.
  def tell(kept, from, to, {from, reason} = exit, offered, info) do
    Events.orphaned(kept, from, reason)
    handed_over(kept, exit, to, offered, info)
  end

  def tell(kept, from, to, _exit, _offered, info),
    do: Events.handed_over(kept, %{from: from, to: to, reason: nil, via: :give_away}, info)

  # Who it was, and why it exited, if it did.
  defp last_owner(owner, {owner, _reason} = exit), do: exit
  defp last_owner(owner, _exit) when is_pid(owner), do: {owner, nil}
  defp last_owner(_none, exit), do: exit || {nil, nil}

  defp handed_over(kept, {from, reason}, to, offered, info) do
    via = if to == offered, do: :receive_table, else: :claim
    Events.handed_over(kept, %{from: from, to: to, reason: reason, via: via}, info)
  end
end
