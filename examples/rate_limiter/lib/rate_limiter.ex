defmodule RateLimiter do
  @moduledoc """
  Lets each client make so many calls in a window of time.

  Calls are counted in a public table, by the processes that make them. The process here owns the table, and
  deletes the counts of windows that are over.
  """

  use Blanket, table: {__MODULE__, [:named_table, :public]}

  @sweep_every :timer.seconds(10)

  @doc """
  Counts a call of `client`, and answers whether it is one of the first `limit` in this window of `window`
  milliseconds.
  """
  @spec hit(term, pos_integer, pos_integer, integer) ::
          {:allow, left :: non_neg_integer} | {:deny, milliseconds :: pos_integer}
  def hit(client, limit, window, now \\ System.system_time(:millisecond)) do
    number = div(now, window)
    ends = (number + 1) * window

    # Does not count beyond limit + 1: who is denied costs no more than that.
    count =
      Blanket.Table.update_counter(
        __MODULE__,
        {client, window, number},
        {2, 1, limit + 1, limit + 1},
        {nil, 0, ends}
      )

    if count <= limit, do: {:allow, limit - count}, else: {:deny, ends - now}
  end

  @doc """
  Deletes the counts of windows that ended before `now`, and answers how many there were.
  """
  @spec sweep(integer) :: non_neg_integer
  def sweep(now \\ System.system_time(:millisecond)),
    do:
      Blanket.Table.select_delete(__MODULE__, [{{:_, :_, :"$1"}, [{:"=<", :"$1", now}], [true]}])

  @impl true
  def init(arg) do
    {:ok, _timer} = :timer.send_interval(@sweep_every, :sweep)
    super(arg)
  end

  @impl true
  def handle_info(:sweep, table) do
    sweep()
    {:noreply, table}
  end
end
